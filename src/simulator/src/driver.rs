//! Polls a life of a node: not while it is paused, and not before its disk has answered.

use crate::life::Life;
use crate::node::Node;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use timed_actors::ledger::TipSeen;
use timed_actors::peer_manager::PeersView;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// A disk that takes longer may cost the node a peer. Half the shortest deadline is far from that.
const STUMBLE: Duration = Duration::from_secs(1);

impl Node {
    pub(crate) fn begin(&self, life: Rc<Life>) {
        self.0.fatal.replace(None);
        self.0.setting.checker.lock().quiet().on_on(self.0.id);
        self.0.life.replace(Some(life.clone()));
        tokio::task::spawn_local(NodeDriver::new(self.clone(), life));
    }
}

/// Polls one life.
struct NodeDriver {
    node: Node,
    life: Rc<Life>,
    /// For waiting until the disk has answered.
    busy: Pin<Box<Sleep>>,
    tip: watch::Receiver<TipSeen>,
    peers: watch::Receiver<Arc<PeersView>>,
}

impl NodeDriver {
    fn new(node: Node, life: Rc<Life>) -> Self {
        let busy = Box::pin(tokio::time::sleep_until(Instant::now()));
        let (tip, peers) = (life.handles.tip.clone(), life.handles.peers.clone());
        Self { node, life, busy, tip, peers }
    }

    /// Ready when the node may act.
    fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let free_at = self.life.gate.now();
        if free_at <= Instant::now() {
            return Poll::Ready(());
        }
        if self.busy.deadline() != free_at {
            self.busy.as_mut().reset(free_at);
        }
        self.busy.as_mut().poll(cx)
    }

    /// Shows the checker what the node published.
    fn look(&mut self) {
        let checker = &self.node.0.setting.checker;
        if self.tip.has_changed().unwrap_or(false) {
            self.tip.mark_unchanged();
            checker.lock().on_tip(self.node.id(), &*self.life.handles.history);
        }
        if self.peers.has_changed().unwrap_or(false) {
            checker.lock().on_peers(self.node.id(), &self.peers.borrow_and_update());
            checker.lock().on_levels(self.node.id(), &self.life.handles);
        }
    }
}

impl Future for NodeDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let life = self.life.clone();
            life.waker.replace(Some(cx.waker().clone()));
            if life.local.borrow().is_none() {
                return Poll::Ready(());
            }
            if life.is_paused.get() || self.poll_free(cx).is_pending() {
                return Poll::Pending;
            }
            life.gate.wake_senders();
            if let Some(local) = &mut *life.local.borrow_mut() {
                // It is never done: its actors run until it is dropped.
                let _ = Pin::new(local).poll(cx);
            }
            self.look();
            if life.gate.is_shut() {
                let crash = life.gate.crashed();
                self.node.end(&life, crash);
                if let Some(reason) = self.node.fatal().filter(|_| !life.gate.may_give_up()) {
                    let text = format!("{}: {}", reason.component, reason.text);
                    self.node.0.setting.checker.lock().on_given_up(self.node.id(), text);
                }
                return Poll::Ready(());
            }
            let free_at = life.gate.now();
            if free_at <= Instant::now() {
                return Poll::Pending;
            }
            if free_at - Instant::now() > STUMBLE {
                self.node.0.setting.checker.lock().quiet().on_stumble(self.node.id(), free_at);
            }
        }
    }
}
