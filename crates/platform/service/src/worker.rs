//! Background work of a service.

use async_trait::async_trait;
use kennel_app::{Component, Phase, Progress, Stop};
use kennel_core::BoxError;

/// A background component, with its progress for the health of the process if it reports one.
pub struct Worker {
    pub(crate) component: Box<dyn Component>,
    pub(crate) progress: Option<Progress>,
}

impl Worker {
    /// A component that always runs.
    pub fn new(component: impl Component) -> Self {
        Self { component: Box::new(component), progress: None }
    }

    /// Shows in the health of the process whether the component makes progress.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.component.name()
    }
}

/// A component under the name that it has in the process.
pub(crate) struct Named {
    name: &'static str,
    component: Box<dyn Component>,
}

impl Named {
    pub(crate) fn new(name: &'static str, component: impl Component) -> Self {
        Self { name, component: Box::new(component) }
    }

    pub(crate) fn boxed(name: &'static str, component: Box<dyn Component>) -> Self {
        Self { name, component }
    }
}

#[async_trait]
impl Component for Named {
    fn name(&self) -> &'static str {
        self.name
    }

    fn phase(&self) -> Phase {
        self.component.phase()
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        self.component.init().await
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        self.component.run(stop).await
    }
}
