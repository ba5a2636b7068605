//! AWS Bedrock: one address per model, and a signature instead of a key.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
};

use super::{
    AddressError, REQUEST_ID,
    sigv4::{self, Credential, Scope},
};
use crate::protocol::splice::Rope;

/// Everything about the provider that does not change from call to call. The credential does.
#[derive(Debug)]
pub struct Bedrock {
    /// Without a slash at the end.
    base: String,
    region: String,
}

/// Where one model's answers come from: worked out once for each model.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// `…/converse`
    pub whole: Uri,
    /// `…/converse-stream`
    pub streamed: Uri,
}

/// Client headers that go on. None of them is signed: whoever traces may change them on the way.
const TRACE: [HeaderName; 2] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

impl Bedrock {
    /// Addresses the service in a region, or what takes its place at a base URL.
    ///
    /// # Errors
    /// When the region makes no URL.
    pub fn new(region: &str, base_url: Option<&Uri>) -> Result<Self, AddressError> {
        let regional = || format!("https://bedrock-runtime.{region}.amazonaws.com");
        let base = base_url.map_or_else(regional, Uri::to_string);
        let base = base.trim_end_matches('/').to_owned();
        base.parse::<Uri>().map_err(AddressError::Url)?;
        Ok(Self { base, region: region.to_owned() })
    }

    /// The base URL: what connections go to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The addresses of a model, by its id or the ARN of an inference profile. It is one segment of the path.
    ///
    /// # Errors
    /// When they make no URL, which a very long name does not.
    pub fn addresses(&self, model: &str) -> Result<Addresses, AddressError> {
        let mut path = format!("{}/model/", self.base);
        sigv4::encode(model, |_| false, &mut path);
        let at = |end: &str| format!("{path}/{end}").parse::<Uri>().map_err(AddressError::Url);
        Ok(Addresses { whole: at("converse")?, streamed: at("converse-stream")? })
    }

    /// The request for one call to one of a model's [`Addresses`], signed. `now` in seconds since 1970.
    ///
    /// # Errors
    /// When the credential cannot stand in a header.
    pub fn request(
        &self,
        address: &Uri,
        client: &HeaderMap,
        request_id: &HeaderValue,
        body: Vec<u8>,
        credential: &Credential,
        now: u64,
    ) -> Result<Request<Rope>, InvalidHeaderValue> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = address.clone();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let scope = Scope { region: &self.region, service: "bedrock" };
        sigv4::sign(&mut parts, &body, credential, scope, now)?;
        parts.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("nexus/", env!("CARGO_PKG_VERSION"));
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        for name in &TRACE {
            for value in client.get_all(name) {
                parts.headers.append(name, value.clone());
            }
        }
        parts.headers.insert(REQUEST_ID, request_id.clone());
        Ok(Request::from_parts(parts, Rope::from_iter([body.into()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    fn path(model: &str) -> String {
        let bedrock = Bedrock::new("eu-central-1", None).expect("a region");
        bedrock.addresses(model).expect("an address").streamed.to_string()
    }

    #[test]
    fn a_model_is_one_segment_of_the_path() {
        // Wire facts §6: as boto3 writes it.
        assert_eq!(
            path("anthropic.claude-3-haiku-20240307-v1:0"),
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream"
        );
        assert!(path("arn:aws:bedrock:us-east-1:1:inference-profile/x.y").contains(
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx.y/converse-stream"
        ));
        assert!(path("a b?c#d").contains("/model/a%20b%3Fc%23d/converse-stream"));
        assert!(Bedrock::new("no region", None).is_err());
    }

    #[test]
    fn a_request_is_signed_and_tells_no_secret() {
        let base: Uri = "http://127.0.0.1:9/x/".parse().expect("a URL");
        let bedrock = Bedrock::new("us-east-1", Some(&base)).expect("a URL");
        let addresses = bedrock.addresses("m:0").expect("an address");
        let credential = Credential {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new("very-secret-key".into()),
            session_token: Some(Secret::new("very-secret-token".into())),
        };
        let mut client = HeaderMap::new();
        client.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        client.insert("openai-beta", HeaderValue::from_static("x"));
        let id = HeaderValue::from_static("r");
        let request =
            bedrock.request(&addresses.whole, &client, &id, b"{}".to_vec(), &credential, 1_440_938_160);
        let request = request.expect("a signed request");
        assert_eq!(request.uri(), "http://127.0.0.1:9/x/model/m%3A0/converse");
        let signed = request.headers()["authorization"].to_str().expect("text");
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(signed.starts_with(expected), "{signed}");
        assert_eq!(request.headers()["x-amz-security-token"], "very-secret-token");
        assert!(
            request.headers().contains_key("traceparent") && !request.headers().contains_key("openai-beta")
        );
        assert!(!format!("{credential:?} {request:?} {bedrock:?}").contains("very-secret"));
        assert_eq!(request.body().concat(), b"{}");
    }
}
