/** Definitions by term. */
export const GLOSSARY: Record<string, string>;
