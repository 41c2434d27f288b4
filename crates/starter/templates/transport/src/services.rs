//! The services of `«path»`.

//% if channels
use kennel_grpc::GrpcChannel;
//% endif
use tonic::{Request, Response, Status«% if sends_streams %», codegen::BoxStream«% endif %»«% if gets_streams %», Streaming«% endif %»};
use «ident»_domain::NoteService;
use «ident»_proto as proto;
//% for service in services
use «ident»_proto::«service.server»::«service.name»;
//% endfor
//% for channel in channels
use «ident»_proto::«channel.service.client»::«channel.service.name»Client;
//% endfor

/// Implements the services.
#[derive(Clone)]
pub struct «Name»Rpc {
    /// The operations on notes.
    pub notes: NoteService,
//% for channel in channels
    /// The client of `«channel.name»`.
    pub «channel.module»: «channel.service.name»Client<GrpcChannel>,
//% endfor
}
//% for service in services

#[tonic::async_trait]
impl «service.name» for «Name»Rpc {
//% for method in service.methods
//% if method.stream
    type «method.stream» = BoxStream<«method.item»>;

//% endif
    async fn «method.fn»(&self, _request: Request<«method.input»>) -> Result<Response<«method.output»>, Status> {
        Err(Status::unimplemented("«method.name» is not implemented"))
    }
//% if not loop.last

//% endif
//% endfor
}
//% endfor
