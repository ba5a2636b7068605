//! What waits, what goes out, and that nothing is lost on the way.

use proptest::prelude::*;

use super::*;

fn call(index: u32, custom: bool) -> Delta<'static> {
    Delta::Call { index, id: format!("c{index}").into(), name: "f".into(), custom, signature: None }
}

fn input(index: u32, text: &'static str) -> Delta<'static> {
    Delta::Input { index, text: text.into() }
}

fn text(text: &'static str) -> Delta<'static> {
    Delta::Text(text.into())
}

/// What comes out, each piece in short, before and behind the end of the answer.
fn through(deltas: impl IntoIterator<Item = Delta<'static>>) -> (String, String) {
    let (mut order, mut out, mut end) = (Order::default(), String::new(), String::new());
    for delta in deltas {
        order.push(delta, &mut |delta| out.push_str(&short(&delta))).unwrap();
    }
    order.finish(&mut |delta| end.push_str(&short(&delta)));
    (out, end)
}

fn short(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Call { index, custom, .. } => format!("[{index}{}", if *custom { "*" } else { "" }),
        Delta::Input { text, .. } | Delta::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn calls_that_come_side_by_side_go_out_one_behind_the_other() {
    let (out, end) = through([
        text("a"),
        call(0, false),
        call(1, false),
        input(1, "{\"b\":"),
        input(0, "{\"a\":"),
        input(0, "1}"),
        input(1, "2}"),
        input(0, " "),
        text("z"),
    ]);
    assert_eq!((out.as_str(), end.as_str()), ("a[0{\"a\":1}[1{\"b\":2}z", ""));
}

#[test]
fn a_call_that_tells_no_end_is_over_with_the_answer() {
    let (out, end) = through([call(0, false), call(1, false), input(1, "{}"), text("z")]);
    assert_eq!((out.as_str(), end.as_str()), ("[0", "[1{}z"));
    let (out, end) = through([call(0, true), input(0, "{}"), text("z")]);
    assert_eq!((out.as_str(), end.as_str()), ("[0*{}", "z"));
}

#[test]
fn what_waits_is_bounded() {
    let mut order = Order::default();
    order.push(call(0, false), &mut |_| {}).unwrap();
    let long = "x".repeat(1 << 20);
    let pushed = (0..16).find_map(|_| order.push(Delta::Text(long.as_str().into()), &mut |_| {}).err());
    assert_eq!(pushed, Some(TooMuch));
}

proptest! {
    #[test]
    fn nothing_of_an_open_call_is_lost(pieces in prop::collection::vec((0_u32..4, "[a-z]{1,3}"), 0..40)) {
        let mut order = Order::default();
        let (mut said, mut heard) = (vec![String::new(); 4], vec![String::new(); 4]);
        let mut hear = |delta: Delta<'_>| if let Delta::Input { index, text } = delta {
            heard[index as usize].push_str(&text);
        };
        for index in 0..4 {
            order.push(call(index, false), &mut hear).unwrap();
        }
        for (index, text) in &pieces {
            said[*index as usize].push_str(text);
            order.push(Delta::Input { index: *index, text: text.as_str().into() }, &mut hear).unwrap();
        }
        order.finish(&mut hear);
        prop_assert_eq!(said, heard);
    }
}
