//! Why a process ended other than by being told to.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use kennel_core::BoxError;

/// What became of a component that did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Another component has its name.
    #[error("has the name of another component")]
    NameTaken,
    /// [`Component::init`](crate::Component::init) failed.
    #[error("could not start")]
    Init(#[source] BoxError),
    /// It returned without being asked to stop.
    #[error("ended before it was asked to")]
    Ended,
    /// It returned an error.
    #[error("failed")]
    Failed(#[source] BoxError),
    /// It panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// Why [`App::run`](crate::App::run) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// A component failed first; the others were stopped because of it.
    Component {
        /// Its name.
        component: &'static str,
        /// What became of it.
        cause: Cause,
    },
    /// Components were asked to stop and had not when the deadline came.
    Hung {
        /// Their names, in the order in which they were started, and how long before the deadline each was asked: one that
        /// had hardly any time is not to blame.
        components: Vec<(&'static str, Duration)>,
    },
    /// A second signal cut the graceful stop short.
    Aborted,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { component, cause } => write!(f, "component `{component}` {cause}"),
            Self::Hung { components } => {
                f.write_str("components did not stop in time: ")?;
                for (index, (name, asked)) in components.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name} (asked {:.1} s before)", asked.as_secs_f64())?;
                }
                Ok(())
            }
            Self::Aborted => f.write_str("the stop was cut short by a second signal"),
        }
    }
}

impl Error for RunError {
    /// What the component reported; the cause itself is part of this error's text.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Component { cause, .. } => cause.source(),
            Self::Hung { .. } | Self::Aborted => None,
        }
    }
}
