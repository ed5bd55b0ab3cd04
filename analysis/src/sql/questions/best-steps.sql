-- The step size with the lowest mean final loss of each cell, where several were tried.
WITH tried AS (
  SELECT sweep, model_kind, model_width, model_depth, data_dim, train_step_size, count(*) AS trials,
         avg(final_risk) AS mean_risk,
         sum(CASE WHEN status = 'diverged' THEN 1 ELSE 0 END) AS diverged
  FROM jobs GROUP BY 1, 2, 3, 4, 5, 6
), ranked AS (
  SELECT *, row_number() OVER (
           PARTITION BY sweep, model_kind, model_width, model_depth, data_dim
           ORDER BY diverged, mean_risk NULLS LAST, train_step_size) AS place,
         count(*) OVER (PARTITION BY sweep, model_kind, model_width, model_depth, data_dim) AS tried
  FROM tried
)
SELECT sweep, model_kind, model_width, model_depth, data_dim, train_step_size, mean_risk, diverged, trials, tried
FROM ranked WHERE place = 1
ORDER BY 1, 2, 5, 3, 4
