-- The training curve by width and depth: mean loss over trials at each step that was told.
SELECT j.sweep, j.model_width, j.model_depth, j.data_dim, s.step, count(*) AS trials,
       avg(s.risk) AS mean_risk, min(s.risk) AS lowest_risk, max(s.risk) AS highest_risk,
       avg(s.gradient_norm) AS gradient_norm
FROM steps s JOIN jobs j ON j.job_id = s.job_id AND j.sweep = s.sweep
WHERE j.status = 'completed'
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 4, 2, 3, 5
