//! IPAllowList: requests from listed addresses pass. An address that cannot be told is refused.

use super::{Flow, source};
use crate::{
    config::dynamic::{Depth, IpRange},
    http::{FieldsMut, Request},
    reason::Reason,
    response::{LocalResponse, phrase},
};

#[derive(Debug)]
pub(super) struct AllowList {
    ranges: Vec<IpRange>,
    depth: Depth,
    status: u16,
}

impl AllowList {
    pub(super) fn new(ranges: &[IpRange], depth: &Depth, status: u16) -> Self {
        Self { ranges: ranges.to_vec(), depth: depth.clone(), status }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        let client = source::client(&self.depth, req.client, &req.fields);
        if client.is_some_and(|client| self.ranges.iter().any(|range| source::contains(range, client))) {
            Flow::Continue
        } else {
            Flow::Respond(LocalResponse::text(Reason::Forbidden, self.status, phrase(self.status)))
        }
    }
}
