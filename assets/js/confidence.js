// Whether a drafter knows how sure it may be: what it stated of its tokens against how many of them were accepted.
// Reads the columns of specviz/showing/trace.py; draws nothing.
//
// Of every node that was judged (accepted or rejected; unreached ones say nothing) the stated draft probability, given its
// parent, in ten bins of equal width. Expected calibration error (Guo et al., 1706.04599): Σ nodes of a bin ÷ all nodes ×
// |share accepted − mean stated|. A drafter that is calibrated lies on the diagonal.

export const NUM_BINS = 10;
const JUDGED = [0, 1]; // accepted, rejected (specviz/showing/steps.py)

// Every judged node whose drafter stated a probability: { stated, isAccepted }.
export function judgedOf(steps) {
  return steps.flatMap(({ q, s }) => q.flatMap((stated, node) => (
    stated !== null && JUDGED.includes(s[node]) ? [{ stated, isAccepted: s[node] === 0 }] : [])));
}

function mean(numbers) { return numbers.reduce((sum, number) => sum + number, 0) / numbers.length; }

// Bins that have nodes, lowest first: { low, num, stated, accepted }, the last two means.
export function binsOf(judged) {
  return Array.from({ length: NUM_BINS }, (_, bin) => {
    const found = judged.filter(({ stated }) => Math.min(NUM_BINS - 1, Math.floor(stated * NUM_BINS)) === bin);
    return { low: bin / NUM_BINS, num: found.length, stated: mean(found.map((node) => node.stated)), accepted: mean(found.map((node) => Number(node.isAccepted))) };
  }).filter((bin) => bin.num);
}

export function calibrationError(bins) {
  const num = bins.reduce((sum, bin) => sum + bin.num, 0);
  return bins.reduce((sum, bin) => sum + (bin.num / num) * Math.abs(bin.accepted - bin.stated), 0);
}

// The outcome in words; of a run whose drafter states nothing, that.
export function confidenceTold(judged) {
  if (!judged.length) return 'No drafted token of this run was judged with a stated probability: there is nothing to compare.';
  const stated = mean(judged.map((node) => node.stated)), accepted = mean(judged.map((node) => Number(node.isAccepted)));
  const gap = accepted - stated, error = calibrationError(binsOf(judged));
  const lean = Math.abs(gap) < 0.02 ? 'On the whole it is as sure as it may be.' : gap < 0 ? 'On the whole it is too sure.' : 'On the whole it might be surer.';
  return judged.length + ' judged nodes: ' + stated.toFixed(2) + ' stated on average, ' + accepted.toFixed(2) + ' accepted; expected calibration error ' + error.toFixed(3) + '. ' + lean;
}

export function confidenceFigure(judged) {
  const bins = binsOf(judged);
  return {
    kind: 'lines', title: 'Accepted share over stated probability', terms: ['calibration-error'], revision: 'confidence',
    x: { title: 'Draft probability, stated', range: [-0.02, 1.02] }, y: { title: 'Share of judged nodes accepted', range: [-0.05, 1.05] },
    marks: [],
    series: [
      { name: 'As sure as right', role: 'target', x: [0, 1], y: [0, 1] },
      { name: 'This run', kind: 'points', role: 'accepted', x: bins.map((bin) => bin.stated), y: bins.map((bin) => bin.accepted), labels: bins.map((bin) => bin.num + ' nodes: ' + bin.stated.toFixed(2) + ' stated, ' + bin.accepted.toFixed(2) + ' accepted') },
    ],
    table: { head: ['Stated from', 'Judged nodes', 'Mean stated', 'Share accepted'], rows: bins.map((bin) => [bin.low.toFixed(1), bin.num, bin.stated.toFixed(3), bin.accepted.toFixed(3)]) },
  };
}
