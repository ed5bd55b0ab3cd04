-- What went wrong, by class and host: attempts, jobs, the last message.
SELECT sweep, class, host, count(*) AS attempts, count(DISTINCT job_id) AS jobs, max(message) AS a_message
FROM failures
GROUP BY 1, 2, 3
ORDER BY 1, attempts DESC, class, host
