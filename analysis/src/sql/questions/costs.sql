-- What trials cost, by width and depth: seconds of wall and CPU, memory, and the hosts they ran on.
SELECT sweep, model_kind, model_width, model_depth, data_dim, train_steps, count(*) AS trials,
       avg(wall_seconds) AS wall_seconds, avg(cpu_seconds) AS cpu_seconds,
       max(peak_rss_bytes) / 1048576 AS peak_mib, count(DISTINCT host) AS hosts
FROM jobs
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY cpu_seconds DESC, 1, 2, 3, 4, 5, 6
