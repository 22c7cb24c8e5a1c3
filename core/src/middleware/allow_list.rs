//! IPAllowList: requests from listed addresses pass. An address that cannot be told is refused.

use super::Flow;
use crate::{
    config::dynamic::{Depth, IpRange},
    http::{FieldsMut, Request, client},
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
        let address = client::find(&self.depth, req.client, &req.fields);
        if address.is_some_and(|address| self.ranges.iter().any(|range| range.contains(address))) {
            Flow::Continue
        } else {
            Flow::Respond(LocalResponse::text(Reason::Forbidden, self.status, phrase(self.status)))
        }
    }
}
