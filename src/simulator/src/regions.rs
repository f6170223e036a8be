//! How far apart nodes are: on one switch, or in cities of the world.

use std::num::NonZeroU64;
use std::time::Duration;
use timed_test_support::LinkQuality;

/// Cities with public clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "names of cities")]
pub enum City {
    Frankfurt,
    London,
    Ashburn,
    SanFrancisco,
    SaoPaulo,
    Singapore,
    Tokyo,
    Sydney,
}

impl City {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Frankfurt,
        Self::London,
        Self::Ashburn,
        Self::SanFrancisco,
        Self::SaoPaulo,
        Self::Singapore,
        Self::Tokyo,
        Self::Sydney,
    ];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frankfurt => "frankfurt",
            Self::London => "london",
            Self::Ashburn => "ashburn",
            Self::SanFrancisco => "san-francisco",
            Self::SaoPaulo => "sao-paulo",
            Self::Singapore => "singapore",
            Self::Tokyo => "tokyo",
            Self::Sydney => "sydney",
        }
    }
}

/// Round trips between the cities as public clouds publish them, rounded. Unit: milliseconds.
const ROUND_TRIPS_MS: [[u64; 8]; 8] = [
    [1, 16, 90, 150, 205, 160, 225, 285],
    [16, 1, 77, 140, 190, 175, 215, 270],
    [90, 77, 1, 62, 115, 215, 160, 200],
    [150, 140, 62, 1, 175, 170, 108, 140],
    [205, 190, 115, 175, 1, 325, 255, 310],
    [160, 175, 215, 170, 325, 1, 70, 92],
    [225, 215, 160, 108, 255, 70, 1, 105],
    [285, 270, 200, 140, 310, 92, 105, 1],
];

/// Where the nodes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Bytes arrive at once.
    None,
    /// One switch: half a millisecond there and back, 1 Gbit/s.
    Lan,
    /// In these cities, one after another; 100 Mbit/s, jitter of a twentieth.
    Cities(Vec<City>),
}

/// A place of [`Latency`] is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place; say lan, world, or cities with commas between: {cities}", cities = City::ALL.map(City::name).join(", "))]
pub struct UnknownPlace(String);

impl std::str::FromStr for Latency {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        let city = |name: &str| {
            let found = City::ALL.into_iter().find(|city| city.name().eq_ignore_ascii_case(name));
            found.ok_or_else(|| UnknownPlace(name.to_owned()))
        };
        match &text.to_ascii_lowercase()[..] {
            "none" => Ok(Self::None),
            "lan" => Ok(Self::Lan),
            "world" => Ok(Self::Cities(City::ALL.to_vec())),
            cities => Ok(Self::Cities(cities.split(',').map(|name| city(name.trim())).collect::<Result<_, _>>()?)),
        }
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lan => f.write_str("lan"),
            Self::Cities(cities) if **cities == City::ALL => f.write_str("world"),
            Self::Cities(cities) => f.write_str(&cities.iter().map(|city| city.name()).collect::<Vec<_>>().join(",")),
        }
    }
}

impl Latency {
    /// The link between two nodes, by their numbers from 1.
    pub fn between(&self, a: u64, b: u64) -> LinkQuality {
        let rate = NonZeroU64::new;
        match self {
            Self::None => LinkQuality::default(),
            Self::Lan => LinkQuality {
                latency: Duration::from_micros(250),
                jitter: Duration::from_micros(100),
                bytes_per_second: rate(125_000_000),
            },
            Self::Cities(cities) => {
                let place = |node: u64| {
                    let index = node.saturating_sub(1) % (cities.len().max(1) as u64);
                    cities.get(usize::try_from(index).unwrap_or_default()).map_or(0, |city| *city as usize)
                };
                let latency = Duration::from_micros(ROUND_TRIPS_MS[place(a)][place(b)] * 500);
                LinkQuality { latency, jitter: latency / 20, bytes_per_second: rate(12_500_000) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_direction_and_places_are_read_as_they_are_shown() {
        for (a, row) in ROUND_TRIPS_MS.iter().enumerate() {
            for (b, there) in row.iter().enumerate() {
                assert_eq!(*there, ROUND_TRIPS_MS[b][a], "{a} {b}");
                assert_eq!(*there == 1, a == b);
            }
        }
        for text in ["none", "lan", "world", "tokyo,sao-paulo"] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
        assert!("atlantis".parse::<Latency>().unwrap_err().to_string().contains("frankfurt, london"));
        let two: Latency = "Frankfurt, Tokyo".parse().unwrap();
        assert_eq!(two.between(1, 2).latency, Duration::from_micros(112_500));
        assert_eq!(two.between(1, 3).latency, Duration::from_micros(500));
    }
}
