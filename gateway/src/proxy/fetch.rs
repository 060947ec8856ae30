//! Plugins' calls to other services, made over our own connections: where `plugin` and `upstream`, which don't know
//! each other, meet.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use crate::config::Grants;
use crate::plugin::{Fetch, FetchCall, FetchFailure, FetchReply};
use crate::upstream::{self, FetchError, FetchPolicy, UpstreamError};

/// The calls of one plugin, as far as its grant goes.
pub struct GrantedFetch(FetchPolicy);

impl GrantedFetch {
    /// For these grants; `denied` addresses are never called, such as our own admin listener.
    ///
    /// # Errors
    /// An `https` origin is granted and there are no root certificates to check it with.
    pub fn new(grants: &Grants, denied: &[SocketAddr]) -> Result<Self, UpstreamError> {
        FetchPolicy::new(grants, denied).map(Self)
    }
}

impl Fetch for GrantedFetch {
    fn fetch<'a>(
        &'a self,
        call: FetchCall,
    ) -> Pin<Box<dyn Future<Output = Result<FetchReply, FetchFailure>> + Send + 'a>> {
        Box::pin(async move {
            let FetchCall {
                method,
                url,
                headers,
                body,
                timeout,
            } = call;
            let call = upstream::FetchCall {
                method,
                url,
                headers,
                body: body.into(),
                timeout,
            };
            let answer = upstream::fetch(call, &self.0).await.map_err(failure)?;
            Ok(FetchReply {
                status: answer.status,
                headers: answer.headers,
                body: answer.body.to_vec(),
            })
        })
    }
}

fn failure(error: FetchError) -> FetchFailure {
    match error {
        FetchError::Denied(text) => FetchFailure::Denied(text),
        FetchError::Invalid(text) => FetchFailure::Invalid(text),
        FetchError::Connect(text) => FetchFailure::Connect(text),
        FetchError::Timeout => FetchFailure::Timeout,
        FetchError::Protocol(text) => FetchFailure::Protocol(text),
        FetchError::TooLarge => FetchFailure::TooLarge,
    }
}
