//! Label and field selectors: which objects a list, a watch or a controller means.

pub mod field;
pub mod label;

pub use field::FieldSelector;
pub use label::LabelSelector;

/// How a requirement relates its key and its values. Upstream's words are [`Operator::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `in`
    In,
    /// `notin`
    NotIn,
    /// `=`
    Equals,
    /// `==`
    DoubleEquals,
    /// `!=`
    NotEquals,
    /// `gt`, written `>`
    GreaterThan,
    /// `lt`, written `<`
    LessThan,
    /// `exists`: the bare key
    Exists,
    /// `!`
    DoesNotExist,
}

impl Operator {
    /// The operator's name in upstream's messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::GreaterThan => "gt",
            Self::LessThan => "lt",
            Self::Exists => "exists",
            Self::DoesNotExist => "!",
        }
    }
}
