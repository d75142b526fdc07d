"use strict";
// After all views are known.

views.start();
live.start();
if (api.live) setTimeout(() => chart.ready().catch(() => {}), 400); // there when the first chart is
