"use strict";
// After all views are known.

live.start(); // before the first answers, so that no change between is missed
views.start();
if (api.live) setTimeout(() => chart.ready().catch(() => {}), 400); // there when the first chart is
