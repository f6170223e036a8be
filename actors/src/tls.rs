//! TLS 1.3 with raw public keys (RFC 7250) on both sides: the node's key is the TLS key, and nothing else names it.
//!
//! No certificate authority, name, resumption or early data. Afterwards both ends know each other's key and share an exporter value
//! that binds statements, such as the claim of a validator key, to this very connection.
//!
//! # Security
//! The dialler's handshake completes before the listener has checked the dialler (TLS 1.3, RFC 8446 section 2): a peer is up after
//! its `Hello` and not before.

use crate::transport::{BoxStream, BytesInFlight, Stream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::io;
use std::sync::Arc;
use timed_primitives::{PublicKey, SecretKey};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Application protocol (ALPN): both sides must name it.
const PROTOCOL: &[u8] = b"timed/1";
/// Label of the exporter value (RFC 8446, section 7.5).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-timed-session";
/// Start of the encoding of an ed25519 public key (`SubjectPublicKeyInfo`, RFC 8410 section 4); the 32 bytes follow.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Start of the encoding of an ed25519 secret key (`OneAsymmetricKey`, RFC 8410 section 7); the seed follows.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why no secure channel came about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our own key or settings cannot be used.
    #[error("TLS cannot be set up with this node's key: {0}")]
    Setup(#[source] Error),
    /// The handshake failed: refused, broken or spoken wrongly.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    /// The handshake completed, yet the other side showed no key of ours.
    #[error("the other side showed no ed25519 key")]
    NoKey,
    /// Another node answered than the one that was dialled.
    #[error("expected node {expected} at this address, found {found}: the address is stale, or somebody is in between")]
    Impostor {
        /// Who was dialled.
        expected: PublicKey,
        /// Who answered.
        found: PublicKey,
    },
}

/// A connection whose other end is known.
pub struct Secured {
    /// The encrypted stream.
    pub stream: BoxStream,
    /// The other end's node key.
    pub key: PublicKey,
    /// The same 32 bytes at both ends of this connection, and of no other.
    pub exporter: [u8; 32],
}

/// Makes connections secure with one node's key. Clones share the settings.
#[derive(Clone)]
pub struct Tls {
    key: PublicKey,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Sets up both directions.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the library refuses the key.
    pub fn new(key: &SecretKey) -> Result<Self, TlsError> {
        Self::build(key).map_err(TlsError::Setup)
    }

    fn build(key: &SecretKey) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut secret = PKCS8_PREFIX.to_vec();
        secret.extend(key.seed());
        let signer = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(secret.into()))?;
        let mut public = SPKI_PREFIX.to_vec();
        public.extend(key.public().0);
        let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], signer));
        let verifier = Arc::new(RawKeyVerifier { provider: provider.clone() });

        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified.clone())));
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];

        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { key: key.public(), client: Arc::new(client), server: Arc::new(server) })
    }

    /// Our own node key.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Secures a connection that we dialled. With `expected`, anybody else's answer is refused.
    ///
    /// # Errors
    /// [`TlsError`] says what failed; nothing of ours was sent inside the channel.
    pub async fn dial(&self, stream: BoxStream, expected: Option<PublicKey>) -> Result<Secured, TlsError> {
        // Names mean nothing here; the library wants one.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let stream =
            TlsConnector::from(self.client.clone()).connect(name, stream).await.map_err(TlsError::Handshake)?;
        let connection = stream.get_ref().1;
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, EXPORTER_LABEL, None).map_err(TlsError::Setup)?;
        let found = peer_key(connection)?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(TlsError::Impostor { expected, found });
        }
        Ok(secured(stream, found, exporter))
    }

    /// Secures a connection that the other side dialled.
    ///
    /// # Errors
    /// [`TlsError`] says what failed.
    pub async fn accept(&self, stream: BoxStream) -> Result<Secured, TlsError> {
        let stream = TlsAcceptor::from(self.server.clone()).accept(stream).await.map_err(TlsError::Handshake)?;
        let connection = stream.get_ref().1;
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, EXPORTER_LABEL, None).map_err(TlsError::Setup)?;
        let found = peer_key(connection)?;
        Ok(secured(stream, found, exporter))
    }
}

impl Stream for tokio_rustls::client::TlsStream<BoxStream> {
    fn bytes_in_flight(&self) -> Option<BytesInFlight> {
        self.get_ref().0.bytes_in_flight()
    }
}

impl Stream for tokio_rustls::server::TlsStream<BoxStream> {
    fn bytes_in_flight(&self) -> Option<BytesInFlight> {
        self.get_ref().0.bytes_in_flight()
    }
}

fn secured(stream: impl Stream + 'static, key: PublicKey, exporter: [u8; 32]) -> Secured {
    Secured { stream: Box::new(stream), key, exporter }
}

fn peer_key(connection: &CommonState) -> Result<PublicKey, TlsError> {
    let shown = connection.peer_certificates().and_then(|c| c.first()).ok_or(TlsError::NoKey)?;
    key_of(shown).ok_or(TlsError::NoKey)
}

/// The key in its encoding, or `None` for anything but exactly one ed25519 key.
fn key_of(encoded: &[u8]) -> Option<PublicKey> {
    encoded.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(PublicKey)
}

fn require_key(encoded: &[u8]) -> Result<(), Error> {
    key_of(encoded).map(drop).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Accepts any ed25519 key whose holder signs the handshake. Who may be a peer is for the manager to say.
#[derive(Debug)]
struct RawKeyVerifier {
    provider: Arc<CryptoProvider>,
}

impl RawKeyVerifier {
    fn signature(
        &self,
        message: &[u8],
        encoded: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(encoded.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        encoded: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        require_key(encoded).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _encoded: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        encoded: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, encoded, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        encoded: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        require_key(encoded).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _encoded: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        encoded: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, encoded, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn node(id: u64) -> SecretKey {
        SecretKey::development("node", id)
    }

    fn tls(id: u64) -> Tls {
        Tls::new(&node(id)).unwrap()
    }

    async fn both(
        dialler: &Tls,
        listener: &Tls,
        expected: Option<PublicKey>,
    ) -> (Result<Secured, TlsError>, Result<Secured, TlsError>) {
        let (a, b) = tokio::io::duplex(4096);
        tokio::join!(dialler.dial(Box::new(a), expected), listener.accept(Box::new(b)))
    }

    #[tokio::test]
    async fn both_ends_know_the_key_and_share_a_value_of_this_connection() {
        let (a, b) = both(&tls(1), &tls(2), Some(node(2).public())).await;
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.key, b.key), (node(2).public(), node(1).public()));
        assert_eq!(a.exporter, b.exporter);
        a.stream.write_all(b"hello").await.unwrap();
        a.stream.flush().await.unwrap();
        let mut bytes = [0; 5];
        b.stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
        let (again, _other) = both(&tls(1), &tls(2), None).await;
        assert_ne!(again.unwrap().exporter, a.exporter);
    }

    #[tokio::test]
    async fn an_impostor_is_refused_by_the_dialler() {
        let (a, _b) = both(&tls(1), &tls(3), Some(node(2).public())).await;
        assert!(matches!(a.err(), Some(TlsError::Impostor { expected, found })
            if expected == node(2).public() && found == node(3).public()));
    }

    #[tokio::test]
    async fn a_key_without_its_secret_is_refused() {
        // Shows node 2's public key, signs with node 3's secret.
        let mut thief = tls(3);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut secret = PKCS8_PREFIX.to_vec();
        secret.extend(node(3).seed());
        let signer = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(secret.into())).unwrap();
        let mut shown = SPKI_PREFIX.to_vec();
        shown.extend(node(2).public().0);
        let stolen = Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], signer));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(RawKeyVerifier { provider }))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(stolen.clone())));
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        thief.server = Arc::new(server);
        let mut client = (*thief.client).clone();
        client.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(stolen));
        thief.client = Arc::new(client);
        let (a, b) = both(&tls(1), &thief, Some(node(2).public())).await;
        assert!(matches!(a.err(), Some(TlsError::Handshake(_))));
        assert!(b.is_err());
        let (_dialler, b) = both(&thief, &tls(1), None).await;
        assert!(matches!(b.err(), Some(TlsError::Handshake(_))));
    }

    #[tokio::test]
    async fn random_bytes_instead_of_tls_are_an_error() {
        let (mut a, b) = tokio::io::duplex(4096);
        let server = tls(1);
        let (_, refused) = tokio::join!(a.write_all(&[0x47; 600]), server.accept(Box::new(b)));
        assert!(matches!(refused.err(), Some(TlsError::Handshake(_))));
    }
}
