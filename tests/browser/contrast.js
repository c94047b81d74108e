// Every visible text of the page whose contrast with its ground is below WCAG AA, 4.5 to 1.
() => {
  const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const over = (top, base) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + base[i] * (1 - (top[3] ?? 1)));
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { const layers = [];
    for (let n = node; n; n = n.parentElement) layers.unshift(parse(getComputedStyle(n).backgroundColor));
    return layers.reduce((base, layer) => layer.length ? over(layer, base) : base, [255, 255, 255]); };
  const poor = new Set();
  for (const node of document.querySelectorAll('.gradio-container *')) {
    const hasText = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!hasText || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest('[disabled], .sv-visually-hidden, style, script')) continue;
    if (node.closest('[class*=empty] .sv-tile-figure')) continue;
    const back = ground(node), style = getComputedStyle(node), a = light(over(parse(style.color), back)), b = light(back);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(node.className + ': ' + node.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return [...poor];
}
