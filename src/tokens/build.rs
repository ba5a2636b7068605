//! Build script: takes the vocabulary of `cl100k_base` out of the reference tokeniser, in the form the counter loads fast.
//!
//! Tokens in the order of their ranks, each as one byte of length and its bytes.

use std::{env, error::Error, fs, path::Path};

/// `cl100k_base` has the ranks below this one; special tokens lie above and are text here.
const TOKENS: u32 = 100_256;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/tokens/build.rs");
    let reference = tiktoken_rs::cl100k_base()?;
    let mut vocabulary = Vec::new();
    for rank in 0..TOKENS {
        let token = reference.decode_bytes(&[rank])?;
        vocabulary.push(u8::try_from(token.len())?);
        vocabulary.extend(token);
    }
    let directory = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&directory).join("cl100k_base.tokens"), vocabulary)?;
    Ok(())
}
