//! The program: see [`hookbell::cli`].

/// Rendering a message is many small allocations; this makes them cheaper than the system's does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hookbell::cli::main()
}
