/** What a module that draws is given: Gradio's own, the constants of `specviz.pages.scripts.on_load` among the rest. */
export interface Component {
  element: HTMLElement;
  props: Record<string, any>;
  server: Record<string, (given?: unknown) => Promise<string>>;
  watch(name: string, listener: () => void): void;
  trigger(name: string, told?: unknown): void;
  [constant: string]: any;
}

declare global {
  interface Window { Plotly: any; specvizPlotly?: Promise<any>; specvizVisitor?: string; specvizRunAgain?: string }
}
