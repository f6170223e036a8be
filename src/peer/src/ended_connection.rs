//! What the end of a connection is to those who read of it.

use crate::end_reason::{EndReason, SessionEnd, Side};
use crate::misbehaviour::Offence;

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStage {
    /// Its handshake was not complete.
    Handshaking,
    /// The handshake was complete, and it was refused.
    Refused,
    /// It was a session.
    Up,
}

/// A connection that ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedConnection {
    /// How far it came.
    pub stage: ConnectionStage,
    /// Whether we dialled.
    pub is_dialled: bool,
    /// Whether we dialled only to see whether a node answers there.
    pub is_feeler: bool,
    /// Whether its other end is a peer by another connection.
    pub is_peer: bool,
    /// How it ended.
    pub end: SessionEnd,
}

/// To whom its end says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClass {
    /// Somebody who never was a peer: remembered apart and seldom shown, since anybody can cause it as often as they like.
    UnknownPeer,
    /// A test of an address, by either side: no session.
    Test,
    /// The end of a session, or of a dial of ours.
    Session,
}

impl EndedConnection {
    /// See [`EndClass`].
    ///
    /// | dialled by | stage | reason | other end | class |
    /// |---|---|---|---|---|
    /// | them | handshaking | any | no peer | unknown peer |
    /// | them | refused | too many peers | no peer | unknown peer |
    /// | us | any | any, for a feeler | any | test |
    /// | any | any | tested | any | test |
    /// | any | any | any other | any | session |
    pub fn class(&self) -> EndClass {
        let is_unknown = match self.stage {
            ConnectionStage::Handshaking => true,
            ConnectionStage::Refused => self.end.reason == EndReason::TooManyPeers,
            ConnectionStage::Up => false,
        };
        match () {
            () if is_unknown && !self.is_dialled && !self.is_peer => EndClass::UnknownPeer,
            () if self.is_feeler || self.end.reason == EndReason::Tested => EndClass::Test,
            () => EndClass::Session,
        }
    }

    /// The fault of the other end that an end by us proves.
    pub fn offence(&self) -> Option<Offence> {
        match (self.end.reason, self.end.by) {
            (EndReason::OversizedFrame, Side::Us) => Some(Offence::OversizedFrame),
            (EndReason::Undecodable, Side::Us) => Some(Offence::UndecodableBody),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(stage: ConnectionStage, reason: EndReason) -> EndedConnection {
        let end = SessionEnd { reason, by: Side::Us };
        EndedConnection { stage, is_dialled: false, is_feeler: false, is_peer: false, end }
    }

    #[test]
    fn who_never_was_a_peer_is_unknown() {
        use ConnectionStage::{Handshaking, Refused, Up};
        let unknown = ended(Handshaking, EndReason::HandshakeTimeout);
        assert_eq!(unknown.class(), EndClass::UnknownPeer);
        assert_eq!(EndedConnection { is_peer: true, ..unknown }.class(), EndClass::Session);
        assert_eq!(EndedConnection { is_dialled: true, ..unknown }.class(), EndClass::Session);
        assert_eq!(ended(Refused, EndReason::TooManyPeers).class(), EndClass::UnknownPeer);
        assert_eq!(ended(Refused, EndReason::Banned).class(), EndClass::Session);
        assert_eq!(ended(Up, EndReason::TooManyPeers).class(), EndClass::Session);
    }

    #[test]
    fn a_test_of_an_address_is_no_session() {
        let test = ended(ConnectionStage::Refused, EndReason::Tested);
        assert_eq!(test.class(), EndClass::Test);
        let feeler = EndedConnection {
            is_dialled: true,
            is_feeler: true,
            ..ended(ConnectionStage::Handshaking, EndReason::DialTimeout)
        };
        assert_eq!(feeler.class(), EndClass::Test);
    }

    #[test]
    fn only_ends_by_us_prove_a_fault() {
        let oversized = ended(ConnectionStage::Up, EndReason::OversizedFrame);
        assert_eq!(oversized.offence(), Some(Offence::OversizedFrame));
        assert_eq!(ended(ConnectionStage::Up, EndReason::Undecodable).offence(), Some(Offence::UndecodableBody));
        let theirs = SessionEnd { reason: EndReason::OversizedFrame, by: Side::Them };
        assert_eq!(EndedConnection { end: theirs, ..oversized }.offence(), None);
        assert_eq!(ended(ConnectionStage::Up, EndReason::Misbehaviour).offence(), None);
    }
}
