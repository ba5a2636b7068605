//! AWS Bedrock: one address per model and kind of answer, and a signature instead of a key.

use std::collections::HashMap;

use http::{HeaderValue, Method, Request, Uri, header::CONTENT_TYPE, request::Parts};

use super::{
    AddressError, Client, Opened, REQUEST_ID, Wanted,
    headers::{self, HeaderRules},
    keyed, query,
    sigv4::{self, Scope},
};
use crate::protocol::splice::Rope;

/// Everything about the provider that does not change from call to call. What signs does.
#[derive(Debug)]
pub struct Bedrock {
    base_url: Uri,
    region: String,
    /// By the provider's name of the model.
    models: HashMap<String, Addresses>,
}

/// Where one model's answers come from.
#[derive(Debug)]
struct Addresses {
    /// `…/converse`
    whole: Uri,
    /// `…/converse-stream`
    streamed: Uri,
}

impl Bedrock {
    /// Addresses the service, or what takes its place, by its base URL, which has no trailing slash. `models` are ids, or
    /// the ARNs of inference profiles.
    ///
    /// # Errors
    /// When one of them makes no URL, which a very long name does not.
    pub fn new<'a>(
        base_url: &Uri,
        region: &str,
        models: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, AddressError> {
        let base = keyed::base(base_url);
        let models = models.into_iter().map(|model| Ok((model.to_owned(), Addresses::new(&base, model)?)));
        let models = models.collect::<Result<_, _>>()?;
        Ok(Self { base_url: base_url.clone(), region: region.to_owned(), models })
    }

    /// The request for one call, as [`Server::request`](super::Server::request) describes it, signed by what the client's
    /// side of it has [`Opened`]. What is added behind the signature may be changed on the way.
    pub fn request(
        &self,
        wanted: &Wanted<'_>,
        client: &Client<'_>,
        rules: Option<&HeaderRules>,
        body: Rope,
    ) -> Request<Rope> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = self.address(wanted);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.sign(&mut parts, &body, client);
        keyed::introduce(&mut parts.headers);
        parts.headers.insert(REQUEST_ID, client.request_id.clone());
        headers::complete(&mut parts.headers, client, &[], rules);
        Request::from_parts(parts, body)
    }

    fn address(&self, wanted: &Wanted<'_>) -> Uri {
        let addresses = self.models.get(wanted.model);
        let address = addresses.map(|of| if wanted.stream { &of.streamed } else { &of.whole });
        address.unwrap_or(&self.base_url).clone() // every model of the configuration has one
    }

    fn sign(&self, parts: &mut Parts, body: &Rope, client: &Client<'_>) {
        if let Some(Opened::Keys(credential, now)) = client.opened {
            let scope = Scope { region: &self.region, service: "bedrock" };
            // What no header can carry does not sign: better no signature than a wrong one.
            let _ = sigv4::sign(parts, body, credential, scope, now);
        }
    }
}

impl Addresses {
    /// The model is one segment of the path.
    fn new(base: &str, model: &str) -> Result<Self, AddressError> {
        let mut path = format!("{base}/model/");
        query::encode(model, |_| false, &mut path);
        let at = |end: &str| format!("{path}/{end}").parse::<Uri>().map_err(AddressError::Url);
        Ok(Self { whole: at("converse")?, streamed: at("converse-stream")? })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{
        config::secret::Secret,
        upstream::{Operation, sigv4::Credential},
    };

    fn path(model: &str) -> String {
        let base = Uri::from_static("https://bedrock-runtime.eu-central-1.amazonaws.com");
        let bedrock = Bedrock::new(&base, "eu-central-1", [model]).expect("an address");
        bedrock.address(&Wanted { operation: Operation::Converse, model, stream: true }).to_string()
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
        let long = "m".repeat(1 << 16);
        assert!(Bedrock::new(&Uri::from_static("http://h"), "r", [long.as_str()]).is_err());
    }

    #[test]
    fn a_request_is_signed_and_tells_no_secret() {
        let bedrock = Bedrock::new(&Uri::from_static("http://127.0.0.1:9/x"), "us-east-1", ["m:0"]);
        let bedrock = bedrock.expect("a URL");
        let (secret, token) =
            (Secret::new("very-secret-key".into()), Secret::new("very-secret-token".into()));
        let credential = Credential {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: &secret,
            session_token: Some(&token),
        };
        let mut sent = HeaderMap::new();
        sent.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        sent.insert("openai-beta", HeaderValue::from_static("x"));
        let client = Client {
            query: Some("beta=true"),
            headers: &sent,
            request_id: &HeaderValue::from_static("r"),
            key: None,
            opened: Some(Opened::Keys(credential, 1_440_938_160)),
            same_protocol: false,
        };
        let wanted = Wanted { operation: Operation::Converse, model: "m:0", stream: false };
        let request = bedrock.request(&wanted, &client, None, Rope::from_iter(["{}".into()]));
        assert_eq!(request.uri(), "http://127.0.0.1:9/x/model/m%3A0/converse");
        let signed = request.headers()["authorization"].to_str().expect("text");
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(signed.starts_with(expected), "{signed}");
        assert_eq!(request.headers()["x-amz-security-token"], "very-secret-token");
        assert!(
            request.headers().contains_key("traceparent") && !request.headers().contains_key("openai-beta")
        );
        assert!(!format!("{credential:?} {request:?} {bedrock:?} {client:?}").contains("very-secret"));
        assert_eq!(request.body().concat(), b"{}");
    }
}
