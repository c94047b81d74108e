/** Where the chart library is, relative to the page. */
export const PLOTLY: string;
