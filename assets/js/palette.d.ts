/** By kind, name and theme: see palette.json. */
export const PALETTE: Record<string, any>;
