//! One row of the table.

use super::calls::Call;
use crate::param::Param;

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Which.
    pub call: Call,
    /// Its name.
    pub name: &'static str,
    /// Its name with hyphens, as the client also takes it.
    pub kebab: &'static str,
    /// Heading in `help`.
    pub group: &'static str,
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What comes back.
    pub returns: &'static str,
    /// Parameters of an example, as typed in a shell.
    pub example: &'static str,
}
