-- Jobs with more than one row in a sweep: there is none unless files were copied or a journal was thrown away.
SELECT sweep, job_id, count(*) AS rows, count(DISTINCT final_risk) AS different_losses
FROM jobs
GROUP BY 1, 2 HAVING count(*) > 1
ORDER BY 1, 2
