// A chart whose numbers come from the server as one JSON text; a picked point is reported as 'pick'.

import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';

/** @param {import('./component').Component} component */
export default function mountPlotView(component) {
const { element, props, watch, trigger, FILENAME, HEIGHT } = component;
const chart = makePlot({ path: PLOTLY, name: FILENAME, height: HEIGHT, onPick: (point) => trigger('pick', point) });
element.appendChild(chart.node);

function receive() {
  const figure = props.value ? JSON.parse(props.value) : null;
  chart.node.hidden = figure === null;
  if (figure !== null) chart.draw(figure);
}

watch('value', receive);
receive();
}
