// A `?` beside a figure: hover, focus or press shows the definition, Escape hides it.

let tooltipCount = 0;

function tooltip(label, text) {
  const holder = make('span', 'sv-tip');
  const button = make('button', 'sv-tip-mark', '?');
  const bubble = make('span', 'sv-tip-text', text);
  bubble.id = 'sv-tip-' + ++tooltipCount + '-' + Math.random().toString(36).slice(2, 8);
  bubble.setAttribute('role', 'tooltip');
  button.type = 'button';
  button.setAttribute('aria-label', 'What is ' + label + '?');
  button.setAttribute('aria-describedby', bubble.id);
  const show = (open) => {
    holder.classList.toggle('is-open', open);
    if (open) keepInside(bubble);
  };
  button.addEventListener('mouseenter', () => show(true));
  button.addEventListener('mouseleave', () => { if (document.activeElement !== button) show(false); });
  button.addEventListener('focus', () => show(true));
  button.addEventListener('blur', () => show(false));
  button.addEventListener('click', () => show(true));
  button.addEventListener('keydown', (event) => { if (event.key === 'Escape') show(false); });
  return add(holder, button, bubble);
}

function keepInside(bubble) {
  bubble.style.marginLeft = '0px';
  const box = bubble.getBoundingClientRect();
  const room = document.documentElement.clientWidth - 8;
  if (box.right > room) bubble.style.marginLeft = room - box.right + 'px';
  if (box.left < 8) bubble.style.marginLeft = 8 - box.left + 'px';
}
