// Recorded steps against a clock of milliseconds; `at` is when a step had been decoded. Draws nothing.

const ROUNDING_MS = 0.001;

// How many steps had been decoded at a time.
export function stepsUntil(steps, ms) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle].at <= ms + ROUNDING_MS) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Tokens per second so far, as text.
export function rateAt(emitted, ms) { return ms > 0 ? ((1000 * emitted) / ms).toFixed(1) : '0.0'; }

export function seconds(ms) { return (ms / 1000).toFixed(2) + ' s'; }

export function ordinal(n) { return n + (['th', 'st', 'nd', 'rd'][n % 10 > 3 || (n % 100 > 10 && n % 100 < 14) ? 0 : n % 10]); }
