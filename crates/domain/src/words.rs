//! Public words: enums whose variants have one name in REST, gRPC, SQL and the event feed.

/// Declares an enum of public words with its `ALL`, `WORDS`, `as_str`, `Display`, `FromStr`, serde form and JSON schema.
///
/// The literal after `as` is the schema's name in the OpenAPI document. With `with name: Type` each row also carries a
/// value, which the method of that name returns.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident as $schema:literal {
            $($(#[doc = $about:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize
        )]
        pub enum $name {
            $($(#[doc = $about])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: [Self; Self::WORDS.len()] = [$(Self::$variant),+];

            /// The word of each variant, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word of the public interface, which is also stored and sent between the services.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            /// A sentence that lists the words.
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(words!(@expected $($word),+))
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let description = [$($doc),+].map(str::trim).join("\n");
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .description(Some(description))
                    .enum_values(Some(Self::WORDS.iter().copied()))
                    .into()
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }
        }
    };
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident as $schema:literal with $method:ident: $value:ty {
            $($(#[doc = $about:literal])+ $variant:ident = $word:literal => $row:expr,)+
        }
    ) => {
        words! {
            $(#[doc = $doc])+
            pub enum $name as $schema {
                $($(#[doc = $about])+ $variant = $word,)+
            }
        }

        impl $name {
            const fn $method(self) -> $value {
                match self { $(Self::$variant => $row,)+ }
            }
        }
    };
    (@expected $first:literal $(, $other:literal)*) => {
        concat!("expected one of ", $first $(, ", ", $other)*)
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::{
        appointment, directory, event, message, patient, plan, preference, reason, report, time, waitlist, webhook,
    };

    #[test]
    fn every_word_parses_back_and_is_its_json_form() {
        macro_rules! check {
            ($($words:ty),+ $(,)?) => {$(
                for word in <$words>::ALL {
                    assert_eq!(word.as_str().parse(), Ok(word));
                    assert_eq!(word.to_string(), word.as_str());
                    assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
                    assert!("".parse::<$words>().unwrap_err().contains(word.as_str()));
                }
                assert_eq!(<$words>::ALL.map(<$words>::as_str), <$words>::WORDS);
            )+};
        }
        check! {
            appointment::Actor,
            appointment::BookingChannel,
            appointment::Status,
            directory::Course,
            event::Kind,
            message::AttemptOutcome,
            message::Question,
            message::Status,
            message::Trigger,
            patient::Channel,
            patient::ConsentKind,
            patient::ConsentSource,
            patient::ProposedField,
            plan::ReviewDecision,
            plan::SessionStatus,
            plan::Status,
            preference::Preference,
            reason::CausedBy,
            report::GroupBy,
            time::Day,
            waitlist::EntryStatus,
            waitlist::OfferStatus,
            webhook::DeliveryStatus,
        }
    }

    #[test]
    fn an_unknown_word_is_answered_with_all_words() {
        assert_eq!("x".parse::<patient::Channel>(), Err("expected one of sms, email"));
    }
}
