//! Entry point of the program; see [`hookbell::cli`].

/// Faster than the system allocator for the many small allocations of rendering a message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hookbell::cli::main()
}
