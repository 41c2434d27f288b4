//! Why a process ended without a stop request, or did not stop cleanly.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use kennel_core::BoxError;

/// How a component failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Another component has the same name.
    #[error("has the name of another component")]
    NameTaken,
    /// [`Component::init`](crate::Component::init) failed.
    #[error("could not start")]
    Init(#[source] BoxError),
    /// It returned before a stop was requested.
    #[error("ended before a stop was requested")]
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
        /// The component's name.
        component: &'static str,
        /// How it failed.
        cause: Cause,
    },
    /// Components did not stop before the deadline.
    Unresponsive {
        /// Their names, in startup order, and how long before the deadline each was asked to stop: one that was asked
        /// shortly before is not the cause.
        components: Vec<(&'static str, Duration)>,
    },
    /// A second signal aborted the graceful stop.
    Aborted,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { component, cause } => write!(f, "component `{component}` {cause}"),
            Self::Unresponsive { components } => {
                f.write_str("components did not stop in time: ")?;
                for (index, (name, asked)) in components.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name} (asked {:.1} s before)", asked.as_secs_f64())?;
                }
                Ok(())
            }
            Self::Aborted => f.write_str("the graceful stop was aborted by a second signal"),
        }
    }
}

impl Error for RunError {
    /// Returns the component's own error; the cause itself is in the text of this error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Component { cause, .. } => cause.source(),
            Self::Unresponsive { .. } | Self::Aborted => None,
        }
    }
}
