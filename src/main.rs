//! The program: see [`hookbell::cli`].

fn main() -> std::process::ExitCode {
    hookbell::cli::main()
}
