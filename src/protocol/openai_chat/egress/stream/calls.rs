//! The calls of one choice of a stream, put together out of pieces that may lack an index, an id, or a name at first.

use std::borrow::Cow;

use super::MOST_HELD;
use crate::{
    chat::{response::Delta, signature::Signature},
    protocol::{
        openai_chat::egress::answer::Called,
        translate::{Unreadable, order::progress::Progress},
    },
};

/// Calls a choice may have.
const MOST_CALLS: usize = 128;

/// In the order they began, which is their index in the neutral form.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    /// The provider's index.
    index: Option<u32>,
    id: String,
    /// Whether the provider said its id.
    named_id: bool,
    /// Empty until it comes.
    name: String,
    /// It has been told.
    begun: bool,
    custom: bool,
    /// Some input has been told.
    filled: bool,
    /// How far its input is.
    progress: Progress,
    /// Input from before its name came.
    held: String,
    signature: Option<Signature<'static>>,
}

impl Calls {
    /// Whether there are any that a client has been told of.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|call| call.begun)
    }

    /// Bytes of input that wait for a name.
    pub(super) fn held(&self) -> usize {
        self.0.iter().map(|call| call.held.len()).sum()
    }

    /// Takes a piece. `made` makes the id of the call of a number, where it has none.
    pub(super) fn push(
        &mut self,
        called: Called<'_>,
        made: impl FnOnce(usize) -> String,
        put: &mut dyn FnMut(Delta<'_>),
    ) -> Result<(), Unreadable> {
        let number = match self.find(&called) {
            Some(number) => number,
            None => self.open(&called, made)?,
        };
        let call = &mut self.0[number];
        call.custom |= called.custom && !call.begun;
        if let Some(signature) = called.signature {
            call.signature = Some(Signature::new(signature.maker, signature.value.into_owned()));
        }
        // A choice has at most `MOST_CALLS` calls.
        let index = u32::try_from(number).unwrap_or_default();
        if !call.begun
            && let Some(name) = called.name
        {
            call.begin(index, &name, put);
        }
        let Some(input) = called.input.filter(|input| !input.is_empty()) else { return Ok(()) };
        call.progress.push(&input);
        if call.begun {
            call.filled = true;
            put(Delta::Input { index, text: input });
            return Ok(());
        }
        call.held.push_str(&input);
        let held: usize = self.0.iter().map(|call| call.held.len()).sum();
        if held > MOST_HELD {
            return Err(Unreadable("a tool call in its stream has no name".to_owned()));
        }
        Ok(())
    }

    /// The choice ends: a call without input has `{}`.
    pub(super) fn finish(&mut self, put: &mut dyn FnMut(Delta<'_>)) {
        for (index, call) in (0..).zip(&mut self.0) {
            if call.begun && !call.filled && !call.custom {
                call.filled = true;
                put(Delta::Input { index, text: Cow::Borrowed("{}") });
            }
        }
    }

    /// The call that a piece goes on with: by its index, by its id, or the last one. Some give every call the index 0: one
    /// with a name and another id begins, or without an id where the call before it is complete.
    fn find(&self, called: &Called<'_>) -> Option<usize> {
        let begins = called.name.is_some();
        let differs = |call: &Call| {
            let other = match called.id.as_deref() {
                Some(id) => call.named_id && call.id != id,
                None => call.is_over(called),
            };
            begins && call.begun && other
        };
        if called.index.is_some() {
            let found = self.0.iter().rposition(|call| call.index == called.index)?;
            return (!differs(&self.0[found])).then_some(found);
        }
        if let Some(id) = called.id.as_deref() {
            return self.0.iter().rposition(|call| call.id == id);
        }
        // Neither: a name begins a call, unless the last one waits for its name.
        let last = self.0.len().checked_sub(1)?;
        (!begins || !self.0[last].begun).then_some(last)
    }

    fn open(&mut self, called: &Called<'_>, made: impl FnOnce(usize) -> String) -> Result<usize, Unreadable> {
        let number = self.0.len();
        if number == MOST_CALLS {
            return Err(Unreadable(format!("it has more than {MOST_CALLS} tool calls")));
        }
        let id = called.id.as_deref().map(str::to_owned);
        self.0.push(Call {
            index: called.index,
            named_id: id.is_some(),
            id: id.unwrap_or_else(|| made(number)),
            name: String::new(),
            begun: false,
            custom: called.custom,
            filled: false,
            progress: Progress::default(),
            held: String::new(),
            signature: None,
        });
        Ok(number)
    }
}

impl Call {
    /// Whether a piece with a name and no id cannot belong to it. Some repeat the name, with nothing beside it.
    fn is_over(&self, called: &Called<'_>) -> bool {
        let more = called.input.as_deref().is_some_and(|input| !input.trim().is_empty());
        let other = called.name.as_deref().is_some_and(|name| name != self.name);
        !self.custom && self.progress.is_complete() && (more || other)
    }

    fn begin(&mut self, index: u32, name: &str, put: &mut dyn FnMut(Delta<'_>)) {
        (self.begun, self.name) = (true, name.to_owned());
        put(Delta::Call {
            index,
            id: Cow::Borrowed(&self.id),
            name: Cow::Borrowed(name),
            custom: self.custom,
            signature: self.signature.take(),
        });
        if !self.held.is_empty() {
            self.filled = true;
            put(Delta::Input { index, text: Cow::Owned(std::mem::take(&mut self.held)) });
        }
    }
}
