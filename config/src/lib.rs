//! Configuration by layers: preset < file < environment (`TIMED__P2P__PORT`) < flags. Each key is typed and documented, with unit and
//! bounds, here and in the presets; unknown keys are refused by name; [`Config::validate`] holds the rules between keys.
//!
//! Knows: keys, defaults, where each value came from. Must not know: actors, or what a value is used for.
//!
//! Start reading in [`Config`], then [`load`].

mod error;
mod layer;
mod load;
mod rules;
mod sections;

pub use error::{ConfigError, RuleError};
pub use layer::SettingOrigin;
pub use load::{Loaded, Overrides, load, load_text};
pub use sections::{
    Config, ConsensusSection, DEVNET_NODES_MAX, DEVNET_P2P_PORT, DEVNET_RPC_PORT, LogFormat, LogSection,
    MempoolSection, NodeSection, P2pSection, RpcSection, default_root,
};
