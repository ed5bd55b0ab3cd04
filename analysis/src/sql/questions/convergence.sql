-- Confusion and convergence side by side: each trial's largest eta, and where its loss ended.
SELECT j.sweep, j.job_id, j.model_width, j.model_depth, j.data_dim, j.data_seed, j.init_seed, max(c.eta) AS largest_eta,
       min(c.min_cos) AS lowest_cos, j.final_risk, j.final_excess_risk, j.converged_step
FROM jobs j JOIN confusion c ON c.job_id = j.job_id AND c.sweep = j.sweep
WHERE c.scope = 'samples' AND c.measure_batch = 1 AND c.layer IS NULL AND j.status = 'completed'
GROUP BY j.sweep, j.job_id, j.model_width, j.model_depth, j.data_dim, j.data_seed, j.init_seed, j.final_risk,
         j.final_excess_risk, j.converged_step
ORDER BY j.sweep, largest_eta, j.job_id
