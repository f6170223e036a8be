//! Who may call: a cookie file that only this machine's user can read, and a password when one is configured.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::{self, Read as _, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// File in the data folder with `__cookie__:<64 hex digits>`; new at each start.
pub const COOKIE_FILE: &str = ".cookie";
/// File in the data folder with the address on which the server listens, for clients on this machine.
pub const ADDRESS_FILE: &str = "rpc.addr";

const COOKIE_USER: &str = "__cookie__";

/// The secret of one run of the node.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(String);

/// Shows nothing of the secret.
impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie")
    }
}

impl Cookie {
    /// A fresh secret of 256 bits.
    pub fn generate() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// Reads a cookie file.
    ///
    /// # Errors
    /// What the system says; `InvalidData` when the file holds no cookie.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = read_short(path)?;
        match text.trim().split_once(':') {
            Some((COOKIE_USER, secret)) if !secret.is_empty() => Ok(Self(secret.into())),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a cookie file: expected __cookie__:<hex>")),
        }
    }

    /// The value of the `Authorization` header.
    pub fn header(&self) -> String {
        basic(COOKIE_USER, &self.0)
    }
}

/// The value of the `Authorization` header for a name and password (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Writes `.cookie` (readable by its owner only) and `rpc.addr` into the data folder, each in one step, so that a client never
/// reads half a file. Returns the new cookie for [`Auth::with_cookie`].
///
/// # Errors
/// What the system says.
pub fn write_cookie(dir: &Path, address: SocketAddr) -> io::Result<Cookie> {
    let cookie = Cookie::generate();
    replace(&dir.join(COOKIE_FILE), &format!("{COOKIE_USER}:{}", cookie.0))?;
    replace(&dir.join(ADDRESS_FILE), &address.to_string())?;
    Ok(cookie)
}

/// Reads what [`write_cookie`] wrote: the secret, and where to ask. An unspecified address (`0.0.0.0`) becomes loopback.
///
/// # Errors
/// What the system says; `InvalidData` when a file does not hold what it should.
pub fn read_cookie(dir: &Path) -> io::Result<(Cookie, SocketAddr)> {
    let cookie = Cookie::read(&dir.join(COOKIE_FILE))?;
    let text = read_short(&dir.join(ADDRESS_FILE))?;
    let mut address: SocketAddr =
        text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{ADDRESS_FILE}: {e}")))?;
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    Ok((cookie, address))
}

/// Removes what [`write_cookie`] wrote: at an orderly end, so that no client finds a node that is gone. Missing files are fine.
pub fn remove_cookie(dir: &Path) {
    for name in [COOKIE_FILE, ADDRESS_FILE] {
        if let Err(error) = fs::remove_file(dir.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, name, "could not remove file");
        }
    }
}

/// The beginning of a file, which is all of a cookie or an address.
fn read_short(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(4_096).read_to_string(&mut text)?;
    Ok(text)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&temporary)?.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

/// Which credentials the server accepts. The default accepts none.
#[derive(Clone, Default)]
pub struct Auth {
    cookie: Option<String>,
    password: Option<String>,
}

/// Shows which kinds are accepted and no secret.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cookie, password } = self;
        write!(f, "Auth {{ cookie: {}, password: {} }}", cookie.is_some(), password.is_some())
    }
}

impl Auth {
    /// Accepts this cookie, from this machine only.
    #[must_use]
    pub fn with_cookie(self, cookie: &Cookie) -> Self {
        Self { cookie: Some(cookie.header()), ..self }
    }

    /// Accepts this name and password, from anywhere.
    #[must_use]
    pub fn with_password(self, user: &str, password: &str) -> Self {
        Self { password: Some(basic(user, password)), ..self }
    }

    /// True when the `Authorization` header from this address may call.
    pub(crate) fn allows(&self, header: Option<&[u8]>, from: IpAddr) -> bool {
        let Some(header) = header else { return false };
        let is = |expected: &Option<String>| expected.as_ref().is_some_and(|e| same(e.as_bytes(), header));
        (is(&self.cookie) && from.to_canonical().is_loopback()) || is(&self.password)
    }
}

/// Compares without showing by the time taken how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_files_are_private_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let address: SocketAddr = "127.0.0.1:7101".parse().unwrap();
        let first = write_cookie(dir.path(), address).unwrap();
        let second = write_cookie(dir.path(), address).unwrap();
        assert_ne!(first, second, "a new secret at each start");
        assert_eq!(read_cookie(dir.path()).unwrap(), (second, address));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(COOKIE_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        remove_cookie(dir.path());
        remove_cookie(dir.path());
        assert!(read_cookie(dir.path()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        fs::write(dir.path().join(COOKIE_FILE), "something else").unwrap();
        assert_eq!(Cookie::read(&dir.path().join(COOKIE_FILE)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_unspecified_address_is_asked_on_loopback() {
        let dir = tempfile::tempdir().unwrap();
        write_cookie(dir.path(), "0.0.0.0:9".parse().unwrap()).unwrap();
        assert_eq!(read_cookie(dir.path()).unwrap().1, "127.0.0.1:9".parse().unwrap());
        write_cookie(dir.path(), "[::]:9".parse().unwrap()).unwrap();
        assert_eq!(read_cookie(dir.path()).unwrap().1, "[::1]:9".parse().unwrap());
    }

    #[test]
    fn the_cookie_counts_on_this_machine_only() {
        let cookie = Cookie::generate();
        let auth = Auth::default().with_cookie(&cookie).with_password("operator", "a long password");
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let elsewhere: IpAddr = "192.0.2.1".parse().unwrap();
        let allows = |header: &str, from| auth.allows(Some(header.as_bytes()), from);
        assert!(allows(&cookie.header(), here) && allows(&cookie.header(), mapped));
        assert!(!allows(&cookie.header(), elsewhere));
        assert!(allows(&basic("operator", "a long password"), elsewhere));
        assert!(!allows(&basic("operator", "another"), here));
        assert!(!auth.allows(None, here) && !Auth::default().allows(Some(b""), here));
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617, section 2");
        assert!(!format!("{auth:?} {cookie:?}").contains(&cookie.0));
    }
}
