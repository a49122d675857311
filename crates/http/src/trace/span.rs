//! The span of one request.

use std::time::SystemTime;

use http::{Method, StatusCode};

use super::context::SpanContext;
use crate::{handler::Handler, request_id::RequestId};

/// A request that is traced.
#[derive(Debug)]
pub(crate) struct Span {
    pub(super) context: SpanContext,
    pub(super) request: RequestId,
    pub(super) parent: Option<u64>,
    pub(super) started: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) protocol: &'static str,
    pub(super) handler: Option<&'static Handler>,
    pub(super) status: StatusCode,
    pub(super) sent: u64,
}
