//! Closed sets of words: the types of conditions, their reasons, phases.

/// An enum whose variants are words of the API, written as they are called.
macro_rules! words {
    (
        $(#[$outer:meta])*
        $name:ident { $( $(#[$inner:meta])* $word:ident ),+ $(,)? }
    ) => {
        $(#[$outer])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub enum $name { $( $(#[$inner])* $word ),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[ $( $name::$word ),+ ];

            /// As it stands in objects.
            pub const fn name(self) -> &'static str {
                match self { $( $name::$word => stringify!($word) ),+ }
            }

            /// The one that is called so.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use words;
