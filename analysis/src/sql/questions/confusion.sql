-- Confusion at the first and at the last measured step, by width, depth and dim: means over trials.
SELECT j.sweep, j.model_width, j.model_depth, j.data_dim, c.scope, c.count, c.measure_batch,
       CASE WHEN c.step = 0 THEN 'start' ELSE 'end' END AS moment,
       count(*) AS trials, avg(c.eta) AS eta, avg(c.relative_eta) AS relative_eta,
       avg(c.min_cos) AS min_cos, avg(c.rms_cos) AS rms_cos, avg(c.negative_fraction) AS negative_fraction
FROM confusion c JOIN jobs j ON j.job_id = c.job_id AND j.sweep = c.sweep
WHERE (c.step = 0 OR c.step = j.steps_done) AND c.layer IS NULL AND j.status = 'completed'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY 1, 5, 6, 7, 8 DESC, 4, 2, 3
