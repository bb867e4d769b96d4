//! The preview page is built apart from the program, and embedded if it is there.

fn main() {
    println!("cargo:rerun-if-changed=preview/dist");
}
