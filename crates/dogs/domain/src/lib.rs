//! Dogs: the model, the ports, the service and its events.
//!
//! Nothing here depends on a database, a broker or a protocol. Adapters implement [`ports`]; transports call
//! [`DogService`].

pub mod error;
pub mod events;
pub mod import;
pub mod model;
pub mod ports;
pub mod replica;
pub mod service;

pub use error::DogError;
pub use model::{Breed, BreedCount, Dog, DogId, Photo, Revision};
pub use ports::{Capabilities, DogImports, DogRepository, DogRetention, DogSource, PictureCheck};
pub use replica::DogReplica;
pub use service::DogService;
