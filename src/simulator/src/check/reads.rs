//! What clients read at nodes: what one node shows never goes back, and no two nodes show different things at one height.

use super::{Checker, Violation};
use timed_primitives::{BlockId, Height};

/// What a client read at one node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TipRead {
    /// Height of the tip.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// The number of a question, about a number that never gets smaller.
    pub question: u64,
    /// The answer.
    pub answer: u64,
}

impl Checker {
    /// A client read something at a node. Not even a restart may take back what it showed.
    pub fn on_read(&mut self, node: u64, read: TipRead) {
        self.checks += 1;
        let TipRead { height, block: found, question, answer } = read;
        let known = self.known.entry(node).or_default();
        let (published, before) = (known.read, known.answers.insert(question, answer).unwrap_or_default());
        known.read = published.max(height);
        if height < published {
            self.report(Violation::WentBack { node, published, found: height });
        }
        if answer < before {
            self.report(Violation::OtherAnswer { node, height, question, found: answer, other: before });
        }
        if let Some(other) = self.chain.get(&height).map(|first| first.id).filter(|other| *other != found) {
            self.report(Violation::OtherBlock { node, height, found, other });
        }
        let other = *self.answers.entry((height, question)).or_insert(answer);
        if other != answer {
            self.report(Violation::OtherAnswer { node, height, question, found: answer, other });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::SharedChecker;
    use crate::payments::SimulatedPayments;
    use crate::trace::Trace;
    use std::sync::Arc;
    use timed_primitives::Hash;

    fn read(height: u64, answer: u64) -> TipRead {
        let block = BlockId(Hash([u8::try_from(height).unwrap(); 32]));
        TipRead { height: Height(height), block, question: 3, answer }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_shows_less_than_before_and_two_that_contradict_each_other_are_seen() {
        let found = |reads: &[(u64, TipRead)]| {
            let checker = SharedChecker::new(Arc::new(SimulatedPayments::devnet(4)), 4, Trace::new(None));
            let mut checker = checker.lock();
            reads.iter().for_each(|(node, read)| checker.on_read(*node, *read));
            checker.violations().iter().map(Violation::kind).collect::<Vec<_>>()
        };
        assert_eq!(found(&[(1, read(5, 7)), (2, read(4, 7)), (2, read(5, 7)), (1, read(6, 9))]), [""; 0]);
        assert_eq!(found(&[(1, read(5, 7)), (1, read(4, 7))]), ["went-back"]);
        assert_eq!(found(&[(1, read(5, 7)), (1, read(6, 6))]), ["other-answer"]);
        assert_eq!(found(&[(1, read(5, 7)), (2, read(5, 8))]), ["other-answer"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_another_disk_may_show_less() {
        let checker = SharedChecker::new(Arc::new(SimulatedPayments::devnet(4)), 4, Trace::new(None));
        let mut checker = checker.lock();
        checker.on_read(1, read(5, 7));
        checker.forget_published(1);
        checker.on_read(1, read(4, 6));
        assert_eq!(checker.violations(), []);
    }
}
