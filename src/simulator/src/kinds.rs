//! Kinds of things with names, written once.

/// An enumeration of kinds, each with its doc and its name.
macro_rules! kinds {
    ($(#[$what:meta])* $Name:ident; $($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        $(#[$what])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $Name { $($(#[$doc])* $kind,)* }

        impl $Name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As on the command line and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

pub(crate) use kinds;
