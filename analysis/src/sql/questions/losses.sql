-- How training ended, by width, depth and step size: trials, those that diverged, the final loss.
SELECT sweep, model_width, model_depth, data_dim, train_step_size, count(*) AS trials,
       sum(CASE WHEN status = 'diverged' THEN 1 ELSE 0 END) AS diverged,
       min(final_risk) AS lowest_risk, avg(final_risk) AS mean_risk, max(final_risk) AS highest_risk
FROM jobs
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 4, 2, 3, 5
