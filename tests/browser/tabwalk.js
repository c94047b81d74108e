// A walk by Tab: which elements had the focus, whether they looked otherwise than without it, and which controls of the open
// view were never reached. Defines `walk`.
(() => {
  const NATIVE = 'a[href], button, input, select, textarea, summary';
  const FOCUSABLE = NATIVE + ', [tabindex]';
  // What arrow keys work once it, or what it belongs to, has the focus; a row whose button does what a press anywhere on it does.
  const KEYED = '.sv-chart-plot, .sv-text, [role=option], tr:has(.sv-open)';
  const style = document.createElement('style');
  style.textContent = '* { transition: none !important; animation: none !important; }';
  document.head.append(style);

  const isShown = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('[inert], :popover-open');
  const isStop = (node) => node.tabIndex >= 0 && !node.disabled && isShown(node) && !isOtherRadio(node);
  // Of radio buttons only the chosen one is a stop.
  function isOtherRadio(node) {
    if (node.type !== 'radio' || node.checked) return false;
    const group = [...document.querySelectorAll('input[type=radio]')].filter((other) => other.name === node.name);
    return group.some((other) => other.checked) || group[0] !== node;
  }
  const controls = () => [...document.querySelectorAll('.gradio-container :is(' + FOCUSABLE + ')')].filter(isStop);

  function look(node) {
    const parts = [];
    for (let at = node, far = 0; at && far < 4; at = at.parentElement, far++) {
      const { outlineStyle, outlineWidth, boxShadow, borderColor, backgroundColor } = getComputedStyle(at);
      parts.push(outlineStyle === 'none' ? '' : outlineWidth, boxShadow, borderColor, backgroundColor);
    }
    const inside = node.firstElementChild && getComputedStyle(node.firstElementChild).boxShadow;
    return parts.concat(inside).join('|');
  }

  function named(node) {
    const home = node.closest('[id]'), text = (node.getAttribute('aria-label') || node.textContent || '').trim();
    return [home && home.id, node.tagName.toLowerCase(), String(node.className.baseVal ?? node.className).slice(0, 60), node.name || '', text.slice(0, 40)].join(' ');
  }

  let stops, wanted, last, first;
  function arrived({ target }) {
    if (last) last.without = look(last.node);
    last = { node: target, within: look(target) };
    stops.push(last);
  }

  // What shows a pointing hand and neither has the focus nor stands in what does.
  function mouseOnly() {
    const isPointed = (node) => getComputedStyle(node).cursor === 'pointer' && isShown(node) && node.getBoundingClientRect().width > 0;
    const isWorked = (node) => node.closest(NATIVE + ', label, [tabindex="0"], ' + KEYED);
    return [...document.querySelectorAll('.gradio-container *')].filter((node) => isPointed(node) && !isWorked(node));
  }

  window.walk = {
    begin() {
      stops = [];
      last = null;
      wanted = controls();
      first = wanted[0];
      first.focus(); // by no key, so maybe without a mark
      document.addEventListener('focusin', arrived);
    },
    isRound() { const at = document.activeElement; return stops.length > 0 && (at === document.body || at === first || stops.slice(0, -1).some(({ node }) => node === at)); },
    end() {
      document.removeEventListener('focusin', arrived);
      const isRound = this.isRound();
      document.activeElement.blur();
      if (last && !last.without) last.without = look(last.node);
      const reached = new Set(stops.map(({ node }) => node)).add(first);
      const unmarked = stops.filter(({ within, without, node }) => within === without && node.isConnected).map(({ node }) => node);
      const list = (nodes) => [...new Set(nodes.map(named))].slice(0, 12);
      return { missed: list(wanted.filter((node) => node.isConnected && isShown(node) && !reached.has(node))), unmarked: list(unmarked), mouseOnly: list(mouseOnly()), isRound };
    },
  };
})()
