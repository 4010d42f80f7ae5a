// The lowest browsers that pages may be read with, as esbuild writes them: 2021's, the first with private methods in
// classes and with `signal` as an option of listeners. The documents name them too.
export const LOWEST = ["chrome91", "edge91", "firefox90", "safari15.0"];
